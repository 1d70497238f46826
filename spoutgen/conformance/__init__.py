"""The conformance kit, `spoutgen test`: does a project's source keep the promises that everything else stands on?

Read it in this order:

* ``subject.py``  what is tested: the project, its environment, its settings
* ``probe.py``    the source in a process of its own, asked line by line (``inside/probe.py`` is the other end)
* ``outcome.py``  how a check ends: ok, failed, skipped
* ``bench.py``    what the checks share: probes, and the records that the source gave first
* ``records.py``, ``reading.py``, ``progress.py``, ``memory.py``   the checks of the source alone
* ``kills.py``    the checks of the whole spout on the local worker (``stage.py``), judged by ``delivery.py``
* ``suite.py``    the table of all checks, and the run
* ``report.py``   the results as text, JSON and JUnit XML

``inside/`` is no part of this package: its files run in the project's process, with the project's runtime.
"""
