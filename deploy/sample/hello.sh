#!/bin/sh
# The sample job: something to see that it ran elsewhere, on its own files.
echo "Hello from $(uname -n), job $GLEANER_JOB_ID."
echo "The project's files here: $(ls | tr '\n' ' ')"
printf 'Words in poem.txt: '
wc -w < poem.txt
