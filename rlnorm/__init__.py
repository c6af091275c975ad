"""rlnorm: what does normalization really do in deep reinforcement learning?"""

__version__ = "0.1.0"
