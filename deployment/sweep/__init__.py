"""What costs money and belongs to nobody: found, priced, and removed in two steps.

The first step lists it and names the list by its digest; the second removes exactly that list, and
refuses if it is another one by then. Only what carries Pedigree's tag of ownership is ever looked at.
"""
