/**
 * The search for a Python that can run a rival: the one that STEPWELL_BENCH_PYTHON names, by default `python3`, if it
 * can import what the rival needs.
 */

export const PYTHON_MISSING =
  "no Python with these packages (STEPWELL_BENCH_PYTHON, rivals/fastapi_torch/requirements.txt)";

/** The interpreter's name, or null when it does not exist or cannot import one of `modules`. */
export async function findPython(...modules: string[]): Promise<string | null> {
  const python = Deno.env.get("STEPWELL_BENCH_PYTHON") ?? "python3";
  try {
    const { success } = await new Deno.Command(python, {
      args: ["-c", `import ${modules.join(", ")}`],
      stdout: "null",
      stderr: "null",
    }).output();
    return success ? python : null;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}
