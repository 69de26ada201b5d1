"""The knowledge base inside a LangChain chain and a LlamaIndex query engine, each the library's own."""

import pytest

from rag import KnowledgeBase


@pytest.fixture
def base(tmp_path, embedder):
    (tmp_path / "lease.txt").write_text("The rent is 900 euros a month.\n")
    (tmp_path / "bread.txt").write_text("Bake the rye bread for 55 minutes.\n")
    with KnowledgeBase("mine", home=tmp_path / "home", embedder=embedder) as opened:
        opened.add([tmp_path / "lease.txt", tmp_path / "bread.txt"])
        yield opened


def test_a_langchain_chain(base):
    from langchain_core.language_models import FakeListChatModel
    from langchain_core.output_parsers import StrOutputParser
    from langchain_core.prompts import ChatPromptTemplate
    from langchain_core.runnables import RunnableLambda, RunnablePassthrough

    retriever = base.as_langchain_retriever(limit=1)
    prompts = []
    chain = (
        {"context": retriever | (lambda found: found[0].page_content), "question": RunnablePassthrough()}
        | ChatPromptTemplate.from_template("{context}\n\n{question}")
        | RunnableLambda(lambda prompt: (prompts.append(prompt.to_string()), prompt)[1])
        | FakeListChatModel(responses=["900 euros"])
        | StrOutputParser()
    )
    assert chain.invoke("the rent in euros a month") == "900 euros"
    assert "The rent is 900 euros a month." in prompts[0]


async def test_langchain_documents_say_where_they_stand(base):
    retriever = base.as_langchain_retriever()
    (found, *_) = await retriever.ainvoke("the rent in euros")
    hit = base.search("the rent in euros")[0]
    assert found.id == hit.passage.id
    assert found.metadata["source"].endswith("lease.txt")
    assert found.metadata["location"] == hit.passage.location
    assert "page" not in found.metadata
    assert [d.id for d in retriever.batch(["the rent in euros"])[0]] == [
        h.passage.id for h in base.search("the rent in euros")
    ]


async def test_a_filter_narrows_both_retrievers(base):
    from rag.filters import parse_where

    source = next(source for source in base.documents() if source.endswith("bread.txt"))
    where = parse_where([f"source={source}"])
    documents = base.as_langchain_retriever(where=where)
    assert [d.metadata["source"] for d in documents.invoke("the rent in euros")] == [source]
    assert [d.metadata["source"] for d in await documents.ainvoke("the rent in euros")] == [source]
    nodes = base.as_llamaindex_retriever(where=where)
    assert [n.node.metadata["source"] for n in nodes.retrieve("the rent in euros")] == [source]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecatedSince20")
async def test_a_llamaindex_query_engine(base):
    from llama_index.core.llms import MockLLM
    from llama_index.core.query_engine import RetrieverQueryEngine

    engine = RetrieverQueryEngine.from_args(base.as_llamaindex_retriever(limit=1), llm=MockLLM())
    response = engine.query("the rent in euros a month")
    assert "The rent is 900 euros a month." in str(response)  # the mock repeats its prompt
    (node,) = response.source_nodes
    assert node.node.metadata["source"].endswith("lease.txt")
    assert node.node.node_id == base.search("the rent in euros a month")[0].passage.id
    assert [n.score for n in (await engine.aquery("the rent in euros a month")).source_nodes] == [node.score]
