export function microbenchmark(options: { readonly json?: boolean }): void {
  void options;
}
