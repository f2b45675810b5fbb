"""Find lines of a file that say nearly the same, with vectors alone and no index.

python examples/near_duplicates.py questions.txt 0.8
"""

import sys
from pathlib import Path

import numpy as np

from nearfield import Settings
from nearfield.core.vectors import similarity

path, least = Path(sys.argv[1]), float(sys.argv[2])
lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]

vectors = Settings.embed_model.encode(lines)
scores = np.triu(similarity(vectors, vectors), k=1)

for one, other in np.argwhere(scores >= least):
    print(f"{scores[one, other]:.2f}\n  {lines[one]}\n  {lines[other]}")
