"""Profiles, the artefact store, the pipeline of stages and the notebook runner."""
