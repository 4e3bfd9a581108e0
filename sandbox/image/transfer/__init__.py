"""Pulls and pushes: what is fetched, unpacked and sent, and what a person sees of it."""
