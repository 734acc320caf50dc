"""Running many Cases: campaigns, minimising, profiles and selection."""
