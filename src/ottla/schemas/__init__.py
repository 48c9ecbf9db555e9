"""Schemas as registries and their clients know them: parsed within bounds, canonical, compared. Pure.

`parsing.parse` is the way in; `compatibility.check` judges. The three formats are loaded when first needed.
"""
