"""Where surrogates come from, and go: this machine, the zoo in this package, the Hugging Face Hub, W&B."""
