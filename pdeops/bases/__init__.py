"""Bases: to and from coefficients, derivatives, products without aliasing."""
