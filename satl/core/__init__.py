"""The ground floor: errors, files, labels, seeds, strict schemas. Imports no other part."""
