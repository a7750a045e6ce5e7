"""Turn what people decided into data sets and models.

In: decided work with everything said about it. Out: bundles of training rows, model folders.
"""

import os

# Set before any Hugging Face library is read, which is when they look: reviewed work and the models
# trained on it stay on this machine, and nothing is fetched by surprise.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
