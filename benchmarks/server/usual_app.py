"""sentence-transformers behind FastAPI, as it is usually written.

python usual_app.py MODEL PORT
"""

import sys

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from sentence_transformers import SentenceTransformer

app = FastAPI()
model = SentenceTransformer(sys.argv[1], device="cpu")


class Body(BaseModel):
    """A request for vectors."""

    model: str
    input: str | list[str]


@app.post("/v1/embeddings")
def embeddings(body: Body):
    """Give the vectors of texts; FastAPI calls this in a thread."""
    texts = [body.input] if isinstance(body.input, str) else body.input
    vectors = model.encode(texts).tolist()
    entries = [
        {"object": "embedding", "index": index, "embedding": vector}
        for index, vector in enumerate(vectors)
    ]
    return {"object": "list", "data": entries, "model": body.model}


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), log_level="warning")
