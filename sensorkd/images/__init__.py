"""Plain images through the same loop: the ground on which the method was published."""
