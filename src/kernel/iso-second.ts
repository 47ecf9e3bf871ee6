/** The time in whole seconds, as Kubernetes writes it: `2026-01-31T12:00:00Z`. Source: Kubernetes `metav1.Time`. */
export const isoSecond = (wallMs: number): string => `${new Date(wallMs).toISOString().slice(0, 19)}Z`;
