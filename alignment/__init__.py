"""How the decoder is taught: feedback, data, SFT, reward model, PPO and its kin, constitution, evaluation, registry.

This room is being built: it holds no stage yet.
"""
