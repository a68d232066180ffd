/**
 * The search for a Python that can run a rival: the first of those that STEPWELL_BENCH_PYTHON names, by default
 * `python3`, that can import what the rival needs. There may be several, with commas between, because the packages of
 * all rivals cannot be installed together.
 */

export const PYTHON_MISSING =
  "no Python with these packages (STEPWELL_BENCH_PYTHON, rivals/*/requirements.txt)";

/** The interpreter's name, or null when it does not exist or cannot import one of `modules`. */
export async function findPython(...modules: string[]): Promise<string | null> {
  const named = (Deno.env.get("STEPWELL_BENCH_PYTHON") ?? "python3").split(",");
  for (const python of named) if (await canImport(python, modules)) return python;
  return null;
}

async function canImport(python: string, modules: readonly string[]): Promise<boolean> {
  try {
    const { success } = await new Deno.Command(python, {
      args: ["-c", `import ${modules.join(", ")}`],
      stdout: "null",
      stderr: "null",
    }).output();
    return success;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
