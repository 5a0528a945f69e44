"""Recipes: what turns the rows of a table into requests, and answers into columns. Pure; nothing here reads a bucket."""
