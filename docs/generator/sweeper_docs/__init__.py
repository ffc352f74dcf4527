"""The reference pages, made from the code that they are about.

``python docs/generator`` writes them to ``docs/reference``; a test says when they are behind.
"""

__all__ = ()
