"""Wire formats: each a module of pure functions between an API's JSON and `Call` and `Answer`."""
