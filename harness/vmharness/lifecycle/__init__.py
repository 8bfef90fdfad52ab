"""The lifecycle plugins that come with vmharness: one file each; they see only `vmharness.hooks`."""
