"""Are BatchNorm and LayerNorm useless in DQN? The same as `rlnorm run dqn-ln dqn-bn`, with the same options.

python scripts/bn_ln_in_dqn.py --preset quick --out runs/study
"""

import sys

from rlnorm.__main__ import main

if __name__ == "__main__":
    main(["run", "dqn-ln", "dqn-bn", *sys.argv[1:]])
