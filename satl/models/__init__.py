"""Networks: backbones, semantic decoupling, and the trunk that methods share. No losses."""

from satl.models.decoupling import SemanticDecoupling

__all__ = ["SemanticDecoupling"]
