"""Declaring views: fields, filters, pages, mutations, scalars and enums."""
