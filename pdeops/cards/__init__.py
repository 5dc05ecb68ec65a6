"""Cards of surrogates: what they are, what they were made of, what they are worth and where that ends."""
