"""Gates that hostile or secret text has to pass: header fields and URLs, terminals and logs, and redaction.

Which hosts are this machine is told here, too.

May import `protocol`. Does not know who speaks: it takes text and gives text that does no harm.
"""
