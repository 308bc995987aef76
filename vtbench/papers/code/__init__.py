"""What a spec names as `package.module:name`: found, read and hashed from its source. Nothing of it is imported."""
