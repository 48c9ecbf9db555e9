"""Schemas as a registry knows them: parsed within bounds, written canonically, compared. Pure.

`parsing.parse` is the way in; `compatibility.check` judges. The three formats are loaded when first needed.
"""
