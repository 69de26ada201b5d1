"""Pictures: VAE, GANs, diffusion, latent text-to-image, hub pipelines and one set of metrics to compare them.

One recipe, one trainer, the same metrics for every family, so that they can be compared honestly on one budget.
"""
