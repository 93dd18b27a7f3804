"""The tests are tested: the engine and the guard are broken on purpose, and a test must notice."""
