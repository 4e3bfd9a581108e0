"""Property tests keep no examples on disk: the checkout may be read-only to the user the tests run as."""

from hypothesis import settings

settings.register_profile("sandbox", database=None, deadline=None)
settings.load_profile("sandbox")
