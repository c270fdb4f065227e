"""Importing a catalogue from a folder of documents that pipelines made."""
