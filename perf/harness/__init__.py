"""What the measuring programs share, in the order in which they use it.

``places``        where things are
``environments``  throw-away virtual environments of the rivals
``contenders``    what can be started: Pyre, the ceiling, the rivals
``server``        one of them, running
``processes``     what /proc knows about it
``exchange``      HTTP over a plain socket
``answers``       the routes, and what a right answer is
``load``          wrk
``rounds``        one server, loaded once
``counters``      what a server counts of itself
``spread``        medians and quartiles
``table``         markdown
``turns``         rounds whose order turns
``peak``          how far memory grows meanwhile
``others``        what else went on meanwhile
``series``        several servers, compared in rounds that take turns
``report``        what ``scripts/bench`` found, as markdown, JSON and a chart
``chart``         SVG bars
``machine``       what this was measured on
``progress``      lines for the person who waits
"""
