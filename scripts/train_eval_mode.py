"""Which statistics should BatchNorm use in each pass of DQN? The same as `rlnorm run dqn-modes`, with the same options.

python scripts/train_eval_mode.py --preset quick --out runs/modes
"""

import sys

from rlnorm.__main__ import main

if __name__ == "__main__":
    main(["run", "dqn-modes", *sys.argv[1:]])
