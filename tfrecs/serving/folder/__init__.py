"""The folder of an export: versions, manifest and graph, checked before anything is run."""
