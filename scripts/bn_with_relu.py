"""Is BatchNorm pointless with ReLU? The same as `rlnorm run bn-relu`, with the same options.

python scripts/bn_with_relu.py --preset quick --out runs/study
"""

import sys

from rlnorm.__main__ import main

if __name__ == "__main__":
    main(["run", "bn-relu", *sys.argv[1:]])
