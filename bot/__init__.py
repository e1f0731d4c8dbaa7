"""migration-rehearsal: runs new migrations on a disposable clone of real data and says what they did."""

__version__ = "0.1.0"
