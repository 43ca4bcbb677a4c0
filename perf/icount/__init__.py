"""Instructions per request, counted by callgrind: a figure that a busy machine does not change.

``scenario``  what is asked, and the budget it must keep
``client``    exactly so many requests, over and over in the same way
``dump``      what callgrind wrote
``counted``   a server under callgrind
"""
