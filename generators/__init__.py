"""Pictures: VAE, GANs, diffusion, latent text-to-image, hub pipelines and one set of metrics to compare them.

This room is being built: it holds no model yet.
"""
