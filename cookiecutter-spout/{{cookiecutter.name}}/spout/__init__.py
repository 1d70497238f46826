"""The spout's runtime: takes records from a source and writes them as Pachyderm commits, for ever.

Read it in this order, which is the way the data goes:

* ``config.py``    the one variable ``SPOUT_CONFIG`` becomes a checked :class:`~spout.config.Config`
* ``records.py``   the nouns (Record, Batch, File) and the two protocols (Source, Sink)
* ``marker.py``    how far the spout has come, and how that is written down
* ``sources/``     one module a kind of source; ``reconnect.py`` keeps any of them going
* ``loop.py``      marker -> open -> read -> batch -> write -> ack
* ``refine.py``    filter, transform.py and envelope; ``own_file.py`` imports what is the user's own
* ``output.py``    a batch becomes files in ``paths.py``'s letters, ``tar.py`` files become a tar
* ``pipe.py``      the protocol that loses nothing on 1.x; ``fifo.py`` and ``journal.py`` are its two resources
* ``api.py``       the one for 2.x, where a batch and its marker are one commit
* ``__main__.py``  puts all of it together
* ``metrics.py``   the numbers, and who asks for them
* ``check.py``     looks at the source and ends, for `spoutgen check`

``fatal.py`` is the one error that ends a spout, ``log.py`` writes the log lines.
"""
