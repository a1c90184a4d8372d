"""One reconciler over the write-ahead records in S3: promote, go on after a crash, go back, take down.

Each command compares what is wanted with what is there and does the difference; so the same command
run again goes on where the last one stopped, whatever it was that ended it.
"""
