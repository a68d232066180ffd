/** What the store tells the operator at a start: something was repaired, or moved to lost+found/. */
export interface Notice {
  /** Id of the run, if it is known. */
  readonly run?: string;
  readonly message: string;
}
