# The browser's app of compose.yaml. vLLM and Qdrant have images of their own.
FROM python:3.12-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends bubblewrap g++ libseccomp2 tesseract-ocr \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /hearth
COPY . .
RUN pip install --no-cache-dir --index-url https://download.pytorch.org/whl/cpu torch==2.13.0 \
 && pip install --no-cache-dir -c constraints.txt '.[ui,align,generate]' \
 && useradd --create-home hearth && mkdir /data && chown hearth /data
USER hearth
ENV HEARTH_HOME=/data
EXPOSE 8501
CMD ["hearth", "ui", "--host", "0.0.0.0", "--expose", "--no-browser"]
