"""A language model as a judge, where no truth is known: what an agent did about an event, and how well it answered.

The rubrics are text files of this package, in our own words, each with its hash in every verdict; a verdict is kept under the hash of all
that it rests on (rubric, model, conversation), so that a judge is asked nothing twice and a result can be read years later.
"""
