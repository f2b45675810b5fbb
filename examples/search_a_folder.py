"""Index a folder and ask it a question; ask again, and nothing is embedded twice.

python examples/search_a_folder.py docs "How do I switch the model?"
"""

import sys

from nearfield import SimpleDirectoryReader, VectorStoreIndex

folder, question = sys.argv[1:]
documents = SimpleDirectoryReader(folder, recursive=True).load_data()

with VectorStoreIndex.from_documents(documents, path="example.index") as index:
    response = index.as_query_engine(similarity_top_k=3).query(question)

print(response)
for found in response.source_nodes:
    node = found.node
    print(f"{found.score:.2f}  {node.metadata['file_name']}  characters {node.start}-{node.end}")
