"""Writes the manual's PDF and DOCX pages. Needs `pip install reportlab python-docx`; run from the repository's root."""

from __future__ import annotations

KNOWLEDGE: tuple[tuple[str, str], ...] = (
    ("h1", "How the knowledge base works"),
    (
        "p",
        "A document is split into passages of at most 220 tokens. A passage keeps its file, its page or its lines, "
        "and the headings above it, so that an answer can point to the exact place.",
    ),
    ("h2", "Search"),
    (
        "p",
        "Every passage is found in two ways. Dense search compares the meaning of the question with the meaning of "
        "the passage, by vectors of 384 numbers from the model all-MiniLM-L6-v2. Sparse search compares words with "
        "BM25 after stemming. The two lists are fused into one.",
    ),
    ("h2", "Updating"),
    (
        "p",
        "Hearth recognises a file by the SHA-256 hash of its content. A file that did not change is not read "
        "again. Two files with the same content are indexed once.",
    ),
    (
        "p",
        "Changes are written into a new generation of the index beside the old one. Only when the generation is "
        "complete does Hearth switch to it, in one step. If the power fails half way, the old generation still "
        "answers.",
    ),
    ("h2", "Engines"),
    (
        "p",
        "The default engine is Qdrant Edge, which runs inside the Hearth process and needs no server. For a shared "
        "knowledge base set HEARTH_RAG_QDRANT_URL to the address of a Qdrant server.",
    ),
)
SERVING: tuple[tuple[str, str], ...] = (
    ("h1", "Serving a decoder"),
    (
        "p",
        "The command hearth serve MODEL starts vLLM with a model of your choice. Run make vllm once before: it "
        "creates the environment .venv-vllm, with the CUDA build where an NVIDIA graphics card is found and the "
        "CPU build elsewhere.",
    ),
    (
        "p",
        "Starting takes one to three minutes on a small machine. When the server is healthy, Hearth sends it one "
        "constrained request. A server that ignores constraints is refused, because agents rely on them.",
    ),
    ("h2", "Stopping"),
    (
        "p",
        "The command hearth serve --stop ends the server and all of its processes. The command hearth serve "
        "--status shows the address, the model and the log file.",
    ),
    ("break", ""),
    ("h1", "Other servers"),
    (
        "p",
        "Hearth talks to any server with an OpenAI-compatible interface, among them Ollama and llama.cpp. Set "
        "HEARTH_DECODER_BASE_URL to its address, such as http://127.0.0.1:11434/v1 for Ollama.",
    ),
    (
        "p",
        "The API key is read from HEARTH_DECODER_API_KEY. It may not stand in hearth.toml, so that it is never "
        "committed by accident.",
    ),
    ("h2", "Timeouts"),
    (
        "p",
        "Hearth waits 120 seconds for the first token unless HEARTH_DECODER_TIMEOUT says otherwise. A request is "
        "tried again only while nothing of its answer was shown.",
    ),
)


def write_docx(path: str) -> None:
    """The page on the knowledge base."""
    import docx

    document = docx.Document()
    for kind, text in KNOWLEDGE:
        document.add_heading(text, int(kind[1])) if kind.startswith("h") else document.add_paragraph(text)
    document.save(path)


def write_pdf(path: str) -> None:
    """The two pages on serving."""
    from reportlab.lib.pagesizes import A4
    from reportlab.lib.styles import getSampleStyleSheet
    from reportlab.platypus import PageBreak, Paragraph, SimpleDocTemplate

    styles = getSampleStyleSheet()
    style = {"h1": styles["Heading1"], "h2": styles["Heading2"], "p": styles["BodyText"]}
    story = [PageBreak() if kind == "break" else Paragraph(text, style[kind]) for kind, text in SERVING]
    SimpleDocTemplate(path, pagesize=A4, title="Serving a decoder", author="Hearth").build(story)


if __name__ == "__main__":
    write_docx("examples/manual/03-knowledge-base.docx")
    write_pdf("examples/manual/04-serving.pdf")
