"""The fake GitHub as a fixture."""

from tests.contract.fake_github import github

__all__ = ["github"]
